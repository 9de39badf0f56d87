//go:build cgo && linux

package ort

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
static void trim(void) { malloc_trim(0); }
#else
static void trim(void) {}
#endif
*/
import "C"

// trim gives memory that the library has freed back to the system. Glibc keeps what lies between blocks that are in use, gigabytes
// after large sessions.
func trim() { C.trim() }
