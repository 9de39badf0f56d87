package match

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"
)

// Products multiplies large matrices, for programs that have something faster than gonum. It may be asked from several
// goroutines.
type Products interface {
	// Multiply returns a·b, or a·bᵀ where transposed; where c is not nil, c minus that. It writes to none of them.
	Multiply(c, a, b *mat.Dense, transposed bool) (*mat.Dense, error)
}

// Multiply is a·b, or a·bᵀ where transposed, by p where that pays; nil leaves it to gonum. b must be whole: no columns of a
// wider matrix.
func Multiply(p Products, a, b *mat.Dense, transposed bool) (*mat.Dense, error) {
	return products{p}.multiply(a, b, transposed)
}

// largeProduct is the number of multiplications from which handing a product over pays.
const largeProduct = 1 << 20

// products are those of [Products] for large matrices, gonum's for small ones or where there are none.
type products struct{ large Products }

// multiply is a·b, or a·bᵀ where transposed.
func (p products) multiply(a, b *mat.Dense, transposed bool) (*mat.Dense, error) {
	rows, _ := a.Dims()
	outputs, columns := b.Dims()
	if transposed {
		columns = outputs
	}
	out := mat.NewDense(rows, columns, nil)
	return out, p.put(out, 0, a, b, transposed)
}

// subtract makes c − a·b of c, or c − a·bᵀ.
func (p products) subtract(c, a, b *mat.Dense, transposed bool) error {
	return p.put(c, 1, a, b, transposed)
}

// put makes a·b of c where keep is 0, c − a·b where it is 1. Rows of c are made side by side, whatever the number of cores is.
func (p products) put(c *mat.Dense, keep float64, a, b *mat.Dense, transposed bool) error {
	rows, inner := a.Dims()
	_, columns := c.Dims()
	if p.large == nil || rows*inner*columns < largeProduct {
		right, sign := blas.NoTrans, 1-2*keep
		if transposed {
			right = blas.Trans
		}
		blas64.Gemm(blas.NoTrans, right, sign, a.RawMatrix(), b.RawMatrix(), keep, c.RawMatrix())
		return nil
	}
	return inChunks(rows, max(64, min(256, rows/4)), func(from, to int) error {
		part := c.Slice(from, to, 0, columns).(*mat.Dense)
		var before *mat.Dense
		if keep != 0 {
			before = part
		}
		made, err := p.large.Multiply(before, a.Slice(from, to, 0, inner).(*mat.Dense), b, transposed)
		if err == nil {
			part.Copy(made)
		}
		return err
	})
}
