//go:build !alldb

package dbview

func more() map[string]dialect { return nil }
