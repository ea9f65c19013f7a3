// Command gen writes the JSON Schemas of every described transaction into schemas/check/schema.
// Run it from the root of the repository: go run ./schemas/check/gen
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"yiqiao/schemas/catalog"
	"yiqiao/schemas/check"
)

func main() {
	dir := filepath.Join("schemas", "check", "schema")
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	if err := run(dir); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run makes the folder hold exactly the generated files.
func run(dir string) error {
	c, err := catalog.Default()
	if err != nil {
		return err
	}
	want := check.Generate(c)
	old, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	for _, f := range old {
		if _, ok := want[filepath.Base(f)]; !ok {
			if err := os.Remove(f); err != nil {
				return err
			}
		}
	}
	for name, text := range want {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%d schemas in %s\n", len(want), dir)
	return nil
}
