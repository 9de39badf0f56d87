package ortlib

import "slices"

// What the fetched archives must be, byte for byte. A new Version needs all of these anew, taken from more
// than one download.

// npmSHA512 is the npm archive's, as the package's integrity states it (base64).
const npmSHA512 = "JH7+czbc8ALA819vlTgcV+Q214/+VjGeBHDjX81+ZCD0PCVCIFGFNtT0V4sXG/1JXypKPgScQcB3ij/hk3YnTg=="

// npmMegabytes is what npm transfers: the archive has the libraries of all platforms.
const npmMegabytes = 86

// wheel is the Python wheel of one platform. Its library does not depend on Python's version, so that one
// wheel serves every pip.
type wheel struct {
	tag       string // pip's name of the platform
	sha256    string // of the wheel
	megabytes int
}

// wheelPython is the version of Python whose wheels these are.
const wheelPython = "3.12"

var wheels = map[platform]wheel{
	{"linux", "amd64"}:   {"manylinux_2_28_x86_64", "b354afce3333f2859c7e8706d84b6c552beac39233bcd3141ce7ab77b4cabb5d", 17},
	{"linux", "arm64"}:   {"manylinux_2_28_aarch64", "0a9847b870b6cb462652b547bc98c49e0efb67553410a082fde1918a38707452", 15},
	{"darwin", "arm64"}:  {"macosx_14_0_arm64", "0d244227dc5e00a9ae15a7ac1eba4c4460d7876dfecafe73fb00db9f1d914d91", 17},
	{"windows", "amd64"}: {"win_amd64", "44ea708c34965439170d811267c51281d3897ecfc4aa0087fa25d4a4c3eb2e4a", 13},
}

// libraries lists the known libraries of this version by platform: first npm's, then the wheel's.
var libraries = map[platform][]string{
	{"linux", "amd64"}: {
		"92ba8e44d31b80a34f5e805076a044122c3be1fffe0d88ed790de7267b0b2682",
		"12e097b0705253189cd2cde73a091febefb7348edcfe606cd54aec010a4bab2b",
	},
	{"linux", "arm64"}: {
		"33032cb5b91c12edbf028d7c69fa40a31848d66c0095448758af237d5e0b07db",
		"34b560ca50f0ba1228a715ce3bedb14eb0fa8e9002dd43dfe083be399f67d7ad",
	},
	{"darwin", "arm64"}: {
		"76831409ce6eded92b4cb343cf422c458a60c1ea1d5f3cfa69692ab7fcc67f0f",
		"c3052e7883681252b3b388a408a3e809c0ad6aaa666c6b8d457fa1e3c3153673",
	},
	{"windows", "amd64"}: {
		"4bc168111012971ae1ffef36c1f29c06b026d17e9063bd17f6390359fbe32a84",
		"e6abe8b3fe7eb38e0424fa366eb7edac2090ac2d211592c26d674f928b44f785",
	},
	{"windows", "arm64"}: {
		"65dd5f706f8dd42ce96f6358ef3180c3c30f390022de00b75ada6f498ba4cce1",
	},
}

// isPinned reports whether sum is that of a known library for p.
func isPinned(p platform, sum string) bool { return slices.Contains(libraries[p], sum) }
