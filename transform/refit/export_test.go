package refit

// SetSamples changes how many positions fits take, for measurements, and returns a function that undoes it.
func SetSamples(perWeight, least int) func() {
	w, m := samplesPerWeight, minPositions
	samplesPerWeight, minPositions = perWeight, least
	return func() { samplesPerWeight, minPositions = w, m }
}

// SetRidges changes the ridges to choose from.
func SetRidges(r ...float64) func() {
	old := ridges
	ridges = r
	return func() { ridges = old }
}

// SetRepairSamples changes the number of samples that repairs are measured on.
func SetRepairSamples(n int) func() {
	old := repairSamples
	repairSamples = n
	return func() { repairSamples = old }
}
