//go:build !mutations

package main

import "github.com/spf13/cobra"

// mutationFlag: a release plants no faults. With the build tag mutations there is --mutation.
func mutationFlag(*cobra.Command, *string) {}
