// Package report draws what a merge came to as a page for people, and a model's graph as a picture.
//
// Page.HTML makes one file that needs nothing else: no scripts, no fonts, no network. Graph.SVG draws a graph
// with its feature spaces. Both are well-formed XML whatever the names in a model hold, and neither computes a
// figure: they show what transform and eval found, and leave out what is not there. Write puts either in place.
package report
