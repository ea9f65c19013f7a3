package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
)

// keyFile is the sealed key file a command works on.
type keyFile struct {
	path, passFile string
}

func (k *keyFile) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&k.path, "file", "", "用口令加密的密钥文件 / sealed key file")
	f.StringVar(&k.passFile, "passphrase-file", "", "从文件读取口令 / read the passphrase from a file")
}

// read opens the file to look at it.
func (k *keyFile) read() (*keys.Ring, error) {
	p, err := sm.New("")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(k.path); err != nil {
		return nil, err
	}
	pass, err := readPassphrase(k.passFile, false)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	return k.opened(p, pass)
}

func (k *keyFile) opened(p sm.Provider, pass []byte) (*keys.Ring, error) {
	r, err := keys.ReadRing(p, k.path, pass)
	if errors.Is(err, keys.ErrPassphrase) {
		return nil, fmt.Errorf("%s: 口令不对, 或文件被改动: %w", k.path, err)
	}
	return r, err
}

// change opens the file, lets do change the ring, and writes it back whole; one command at a time.
// fresh, when not nil, gives another passphrase to write it with.
func (k *keyFile) change(do func(*keys.Ring) error, fresh func() ([]byte, error)) error {
	p, err := sm.New("")
	if err != nil {
		return err
	}
	if _, err := os.Stat(k.path); err != nil {
		return err
	}
	lock := flock.New(k.path + ".lock")
	if ok, err := lock.TryLock(); err != nil || !ok {
		return fmt.Errorf("%s 正被另一个命令修改 / is being changed by another command", k.path)
	}
	defer func() { _ = lock.Unlock() }()
	pass, err := readPassphrase(k.passFile, false)
	if err != nil {
		return err
	}
	defer clear(pass)
	r, err := k.opened(p, pass)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := do(r); err != nil {
		return explainKey(err)
	}
	if fresh != nil {
		next, err := fresh()
		if err != nil {
			return err
		}
		defer clear(next)
		pass = next
	}
	return keys.WriteRing(k.path, r, rand.Reader, pass, keys.DefaultStretch(), false)
}

// explainKey adds Chinese words to the commonest refusals.
func explainKey(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, keys.ErrName):
		return fmt.Errorf("没有这个名称, 或已被占用、正在使用: %w", err)
	case errors.Is(err, keys.ErrKind):
		return fmt.Errorf("密钥类别不符: %w", err)
	case errors.Is(err, sm.ErrKey):
		return fmt.Errorf("不是可接受的密钥: %w", err)
	}
	return err
}

func keysCreateCommand(s *streams) *cobra.Command {
	var k keyFile
	var asJSON bool
	c := &cobra.Command{
		Use:   "create",
		Short: "新建用口令加密的密钥文件 / Make a sealed key file",
		Long: `新建一个空的密钥文件, 用口令加密 (Argon2id + SM4-GCM), 已有的文件不会被覆盖。
口令丢失则其中的密钥全部丢失, 没有其他办法打开。`,
		Example: `  yiqiao keys create --file mysite/secrets/keys.sealed
  yiqiao keys generate journal --kind master --file mysite/secrets/keys.sealed
  yiqiao keys generate gateway --file mysite/secrets/keys.sealed`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if k.path == "" {
				return errors.New("--file 是必需的 / is needed")
			}
			if _, err := os.Lstat(k.path); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s: %w", k.path, fs.ErrExist)
			}
			p, err := sm.New("")
			if err != nil {
				return err
			}
			pass, err := readPassphrase(k.passFile, true)
			if err != nil {
				return err
			}
			defer clear(pass)
			r, err := keys.NewRing(p)
			if err != nil {
				return err
			}
			if err := keys.WriteRing(k.path, r, rand.Reader, pass, keys.DefaultStretch(), true); err != nil {
				return err
			}
			if asJSON {
				return printJSON(s.out, map[string]string{"file": k.path})
			}
			fmt.Fprintf(s.out, "已新建 %s\n", k.path)
			return nil
		},
	}
	k.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

func keysPassphraseCommand(s *streams) *cobra.Command {
	var k keyFile
	var newFile string
	c := &cobra.Command{
		Use:   "passphrase",
		Short: "更换密钥文件的口令 / Change the passphrase of a sealed key file",
		Long:  "文件中的密钥不变; 旧的备份仍可用旧口令打开, 应一并销毁。",
		Example: `  yiqiao keys passphrase --file mysite/secrets/keys.sealed
  yiqiao keys passphrase --file keys.sealed --passphrase-file old --new-passphrase-file new`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if k.path == "" {
				return errors.New("--file 是必需的 / is needed")
			}
			err := k.change(func(*keys.Ring) error { return nil }, func() ([]byte, error) {
				if newFile != "" {
					return readPassphrase(newFile, true)
				}
				return newPassphrase()
			})
			if err == nil {
				fmt.Fprintf(s.out, "%s 的口令已更换\n", k.path)
			}
			return err
		},
	}
	k.flags(c)
	c.Flags().StringVar(&newFile, "new-passphrase-file", "", "从文件读取新口令 / read the new passphrase from a file")
	return c
}

func printItems(s *streams, asJSON bool, items []keys.Item) error {
	if asJSON {
		if items == nil {
			items = []keys.Item{}
		}
		return printJSON(s.out, items)
	}
	var rows [][]string
	for _, it := range items {
		rows = append(rows, []string{it.Name, fmt.Sprint(it.Generation), kindZH(it.Kind), keyStateZH(it.State), it.Fingerprint, it.Created.Format(time.DateOnly)})
	}
	table(s.out, []string{"名称", "代", "类别", "状态", "指纹", "建立"}, rows, 1)
	return nil
}

func kindZH(k keys.Kind) string {
	if zh, ok := map[keys.Kind]string{keys.KindSM2: "SM2 私钥", keys.KindPublic: "对方公钥", keys.KindMaster: "主密钥", keys.KindSecret: "口令或令牌"}[k]; ok {
		return zh
	}
	return string(k)
}

func keyStateZH(st keys.State) string {
	if zh, ok := map[keys.State]string{keys.StateNext: "待启用", keys.StateCurrent: "在用", keys.StateOld: "已退役"}[st]; ok {
		return zh
	}
	return string(st)
}
