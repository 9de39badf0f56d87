// Package sweep compares merges of the same models: which candidates there are (Grid), what came out of each (Row),
// which of them no other beats (Front), and a file of finished rows by which an interrupted sweep goes on (Journal).
// It runs nothing itself.
package sweep
