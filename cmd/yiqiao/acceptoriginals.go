package main

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/crypto/sm"
	"yiqiao/simulator/acceptance"
)

// originals begins, or goes on with, the sealed file of a run that is to keep its originals; nil when it is not.
func (f *acceptFlags) originals(p sm.Provider) (*acceptance.Originals, error) {
	switch {
	case !f.keepOriginals && f.passFile != "":
		return nil, errors.New("--passphrase-file 需要 --keep-originals / it belongs to --keep-originals")
	case !f.keepOriginals:
		return nil, nil
	case f.out == "":
		return nil, errors.New("--keep-originals 需要 --out: 原文与报告放在一起 / originals lie beside the report: --out is needed")
	}
	path := filepath.Join(f.out, acceptance.FileOriginals)
	_, err := os.Stat(path)
	again := f.resume && err == nil
	pass, err := readPassphrase(f.passFile, !again)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	var file *acceptance.Originals
	if again {
		file, err = acceptance.ContinueOriginals(path, p, rand.Reader, pass)
	} else {
		file, err = acceptance.CreateOriginals(path, p, rand.Reader, pass, time.Now())
	}
	if err != nil {
		return nil, err
	}
	f.keep = file.Keep
	return file, nil
}

func closeOriginals(o *acceptance.Originals, over bool) error {
	if o == nil {
		return nil
	}
	if err := o.Close(over); err != nil {
		return fmt.Errorf("原文没有保存完整 / the originals could not be kept: %w", err)
	}
	return nil
}

func acceptOriginalsCommand(s *streams) *cobra.Command {
	var passFile, only string
	c := &cobra.Command{
		Use:   "originals FOLDER",
		Short: "打开加密保存的报文原文 / Open the sealed originals of a run",
		Long: `逐行打印 JSON: 每次收发的原文 (request, reply) 和线路上的字节 (wire)。含个人信息, 请妥善保管。
口令依次取自 --passphrase-file、环境变量 ` + passphraseEnv + `、终端。口令不对或文件被改动时退出码为 1。`,
		Example: "  yiqiao accept originals report --passphrase-file pass\n  yiqiao accept originals report --case OP-01",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := provider("")
			if err != nil {
				return err
			}
			file, err := os.Open(filepath.Join(args[0], acceptance.FileOriginals))
			if err != nil {
				return err
			}
			defer file.Close()
			pass, err := readPassphrase(passFile, false)
			if err != nil {
				return err
			}
			defer clear(pass)
			out := json.NewEncoder(s.out)
			out.SetEscapeHTML(false)
			whole, err := acceptance.ReadOriginals(file, p, pass, func(o acceptance.Original) error {
				if only != "" && o.Case != only {
					return nil
				}
				return out.Encode(o)
			})
			if errors.Is(err, acceptance.ErrOriginals) {
				fmt.Fprintln(s.err, err)
				return errNo
			}
			if err == nil && !whole {
				fmt.Fprintln(s.err, "验收没有结束, 或文件末尾缺失 / the run did not end, or the end of the file is missing")
				return errNo
			}
			return err
		},
	}
	c.Flags().StringVar(&passFile, "passphrase-file", "", "从文件读取口令 / read the passphrase from a file")
	c.Flags().StringVar(&only, "case", "", "只看一个用例 / only one case")
	return c
}
