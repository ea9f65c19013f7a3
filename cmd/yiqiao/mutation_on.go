//go:build mutations

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"yiqiao/cmd/yiqiao/internal/world"
)

func mutationFlag(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "mutation", "", fmt.Sprintf("植入一个错误 / plant a fault: %v", world.Mutations()))
}
