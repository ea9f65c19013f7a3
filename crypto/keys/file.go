package keys

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ErrFile is a key file that is no key file: not regular, empty, or longer than a key.
var ErrFile = errors.New("keys: not a key file")

// WriteFile writes text and a line end to a new file that only its owner may read (mode 0600) and
// makes it durable. It never overwrites: an existing path, a link too, is an error that wraps
// fs.ErrExist. After a failure no half-written file is left.
func WriteFile(path, text string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("keys: write key file: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path) // the file is ours: O_EXCL made it
		}
	}()
	if _, err = io.WriteString(f, strings.TrimSpace(text)+"\n"); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("keys: write key file: %w", err)
	}
	return nil
}

// ReadFile gives the text of a key file without the white space around it. It reads at most
// 16 KiB; a longer, an empty or a special file is ErrFile. An unreadable one wraps the error of
// the system.
func ReadFile(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("keys: read key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%w: %s is not a regular file", ErrFile, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("keys: read key file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return "", fmt.Errorf("keys: read key file: %w", err)
	}
	defer clear(b)
	text := strings.TrimSpace(string(b))
	if len(b) > maxText || text == "" {
		return "", fmt.Errorf("%w: %s is empty or too long", ErrFile, path)
	}
	return text, nil
}
