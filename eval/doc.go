// Package eval judges models: merged files and the files they were made of, by the same rules.
//
//	result, err := eval.Accuracy(ctx, engine, merged, tasks, test, labels, eval.AccuracyOptions{})
//	fmt.Println(result.Tasks[0].Accuracy) // 95.80 % [94.37, 96.88] of 1000
//
// Accuracy needs labels; Agreement compares a merged file with its sources without any; Latency and
// Deployments time models against each other; SizeOf counts what they are made of.
//
// # One pass, many figures
//
// Predict runs a model once and keeps three numbers for each sample and head. Score (accuracies), Maxima (for
// the standardised joint rule) and SanityOf all read those, so nothing runs twice. Heads of several files can be
// scored together: that gives the figures of the ensemble without building it.
//
// # Numbers
//
// Accuracies are fractions with a 95 % Wilson interval; differences are in percentage points, paired on the
// same samples. Ties in a maximum go to the lowest index, and of heads to the first. Results are plain structs
// with JSON tags, raw numbers and the unit in the name.
package eval
