package recon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Archive keeps reports, one file each in a folder a day. A file is written once and never again.
// Safe for concurrent use, also by several processes.
type Archive struct{ dir string }

// NewArchive keeps its files under dir, which is made when the first report comes.
func NewArchive(dir string) *Archive { return &Archive{dir: dir} }

// ErrKept: there is a report of that name already.
var ErrKept = errors.New("recon: report exists already")

// mostReport bounds a report that is read back.
const mostReport = 256 << 20

// Add keeps a report. It is durable when Add returns nil.
func (a *Archive) Add(r Report) error {
	body, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	dir := filepath.Join(a.dir, r.Date)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	name := filepath.Join(dir, r.Run+".json")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrKept, name)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(append(body, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// Day lists the reports of a day and institution (of all when it is ""), oldest first. A file that
// can not be read is named in damaged.
func (a *Archive) Day(day string, inst ident.Institution) (list []Report, damaged []string, err error) {
	if _, err := time.ParseInLocation(time.DateOnly, day, gateway.China); err != nil {
		return nil, nil, err
	}
	files, err := os.ReadDir(filepath.Join(a.dir, day))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".json") || inst != "" && !strings.HasPrefix(f.Name(), string(inst)+"-") {
			continue
		}
		r, err := readReport(filepath.Join(a.dir, day, f.Name()))
		if err != nil {
			damaged = append(damaged, f.Name())
			continue
		}
		list = append(list, r)
	}
	slices.SortStableFunc(list, func(x, y Report) int { return x.MadeAt.Compare(y.MadeAt) })
	return list, damaged, nil
}

// Finished reports whether a day was reconciled to the end, whatever came out.
func (a *Archive) Finished(day string, inst ident.Institution) (bool, error) {
	list, _, err := a.Day(day, inst)
	for _, r := range list {
		if r.Failed == "" && !r.Offline {
			return true, err
		}
	}
	return false, err
}

func readReport(name string) (Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return Report{}, err
	}
	defer f.Close()
	var r Report
	err = json.NewDecoder(io.LimitReader(f, mostReport)).Decode(&r)
	return r, err
}
