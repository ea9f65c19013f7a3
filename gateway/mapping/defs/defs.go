// Package defs holds the shipped mapping definitions, one folder each: mapping.yaml, for rows of
// files and tables layout.yaml, a table of items for its cases, and the cases. A hospital's own definition extends one of them.
package defs

import "embed"

// FS is the folders.
//
//go:embed */mapping.yaml */layout.yaml */items.csv */cases
var FS embed.FS
