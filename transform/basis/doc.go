// Package basis looks at spaces whose features nothing sees one by one: it brings models to a form in which such a space may
// have any basis, and finds the combinations of features that tell most of what is read of it.
package basis
