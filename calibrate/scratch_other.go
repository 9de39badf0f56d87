//go:build !unix

package calibrate

import "errors"

// canMap is false where files are not mapped: all is kept in memory.
const canMap = false

func mapFile(string, int64) ([]byte, error) { return nil, errors.ErrUnsupported }

func unmap([]byte) error { return nil }

func floatsOf([]byte) []float64 { return nil }
