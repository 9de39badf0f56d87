//go:build !unix

package score

import "os/exec"

// ownGroup does nothing: there are no process groups here, only the program itself can be ended.
func ownGroup(*exec.Cmd) {}

func endGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
