//go:build cgo && !linux

package ort

// trim is for glibc.
func trim() {}
