package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const nameFile = "name" // in the data folder

// processName is what this gateway is called on its journal: what was asked for, else a name made at
// the first start and kept in the data folder. The data folder is locked while a gateway runs, so
// that two running ones have the same name only when a folder was copied.
func (s *gatewaySettings) processName() (string, error) {
	if s.Name != "" {
		return s.Name, checkName(s.Name)
	}
	file := filepath.Join(s.path(s.Data), nameFile)
	kept, err := os.ReadFile(file)
	if name := strings.TrimSpace(string(kept)); err == nil && name != "" {
		return name, checkName(name)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	host, err := os.Hostname()
	if err != nil || checkName(host) != nil {
		host = "gateway"
	}
	var b [4]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	name := host[:min(len(host), 40)] + "-" + hex.EncodeToString(b[:])
	return name, os.WriteFile(file, []byte(name+"\n"), 0o600)
}

// checkName refuses what would be unreadable in a journal.
func checkName(name string) error {
	ok := len(name) > 0 && len(name) <= 64
	for _, c := range name {
		ok = ok && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_.", c))
	}
	if !ok {
		return fmt.Errorf("网关名 %q 只可用字母、数字和 - _ . , 至多 64 个 / the gateway's name may hold letters, digits and - _ . only, at most 64", name)
	}
	return nil
}
