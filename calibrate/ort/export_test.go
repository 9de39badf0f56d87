//go:build cgo

package ort

// SetMaxMessage sets the size from which models go through files; the result sets it back.
func SetMaxMessage(n int64) (restore func()) {
	old := maxMessage
	maxMessage = n
	return func() { maxMessage = old }
}
