package onnx

import "math"

// halfToFloat64 converts an IEEE 754 binary16.
func halfToFloat64(h uint16) float64 {
	sign, exp, frac := uint64(h>>15), int(h>>10&0x1f), float64(h&0x3ff)
	var x float64
	switch exp {
	case 0:
		x = math.Ldexp(frac, -24)
	case 31:
		x = math.Inf(1)
		if frac != 0 {
			x = math.NaN()
		}
	default:
		x = math.Ldexp(1024+frac, exp-25)
	}
	if sign == 1 {
		return -x
	}
	return x
}

// halfFromFloat64 rounds to the nearest binary16, ties to even, overflow to infinity.
func halfFromFloat64(x float64) uint16 {
	var sign uint16
	if math.Signbit(x) {
		sign, x = 0x8000, -x
	}
	switch {
	case math.IsNaN(x):
		return sign | 0x7e00
	case x >= 65520: // halfway between the largest half and the next power of two
		return sign | 0x7c00
	case x < math.Ldexp(1, -14): // subnormal: a multiple of 2^-24
		return sign | uint16(math.RoundToEven(math.Ldexp(x, 24)))
	}
	frac, exp := math.Frexp(x) // x = frac·2^exp, frac in [½, 1)
	mantissa := uint16(math.RoundToEven(math.Ldexp(frac, 11)))
	// mantissa is 1024…2048; the carry of 2048 into the exponent is what rounding up means
	return sign | (uint16(exp+14-1)<<10 + mantissa)
}

// bfloatToFloat64 converts a bfloat16: the upper half of a float32.
func bfloatToFloat64(b uint16) float64 {
	return float64(math.Float32frombits(uint32(b) << 16))
}

// bfloatFromFloat64 rounds once to the nearest bfloat16, ties to even.
func bfloatFromFloat64(x float64) uint16 {
	if math.IsNaN(x) {
		return 0x7fc0
	}
	f := float32(x)
	bits := math.Float32bits(f)
	low := bits & 0xffff
	up := bits >> 16
	switch {
	case low > 0x8000:
		up++
	case low == 0x8000:
		// A tie in float32 may be none in float64: the first rounding hid on which side x lies.
		switch d := math.Abs(x) - math.Abs(float64(f)); {
		case d > 0:
			up++
		case d == 0:
			up += up & 1
		}
	}
	return uint16(up)
}
