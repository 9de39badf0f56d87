// Package data reads calibration and test data from NumPy files and holds them to the model's inputs.
//
// Open reads the headers of an .npy or .npz file, Dataset.Bind checks every value of it against a model's
// inputs, and the Bound that comes back is a Source to feed. Concat, Sample and Split make new Sources
// of Sources; they hold indices, never samples.
//
// # What is read when
//
// Memory does not grow with the number of samples. An .npy file and a stored entry of an .npz are read
// where they lie, batch by batch. A deflated entry is inflated once, when it is first needed: into
// memory below 256 MiB, else into a scratch file in the system's temporary folder, which Dataset.Close
// removes. Bind reads all bound data once, because a NaN in the last sample must be found before hours
// of work and not after; it is then that checksums are compared. Arrays in Fortran order are gathered
// element by element and cost a read for each position of a sample: prefer C order for large files.
//
// # Fixed batches
//
// A model may declare a fixed first axis B. Every Source bound to it then holds a multiple of B samples:
// the last B-1 at most are dropped, and Bind warns. Nothing is padded: an invented sample would count
// in the statistics and in accuracies.
//
// Errors are of kind fault.Data and name file and array, whatever the file holds.
package data
