package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway/config"
)

// placed is one key or secret a configuration names.
type placed struct {
	Use         string `json:"use"`   // the key of the configuration
	Place       string `json:"place"` // file:..., env:..., key:..., hsm:...
	Fingerprint string `json:"fingerprint,omitempty"`
	Problem     string `json:"problem,omitempty"`
}

func keysListCommand(s *streams) *cobra.Command {
	var k keyFile
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "list",
		Short: "列出密钥文件或配置中的密钥 / List the keys of a sealed key file, or of a configuration",
		Long: `--file: 密钥文件中的各代密钥。--config: 配置用到的每一个密钥和口令在哪里、指纹是什么、
能否读取、文件权限是否过宽; 有问题时退出码为 1。从不显示内容。`,
		Example: `  yiqiao keys list --file mysite/secrets/keys.sealed
  yiqiao keys list --config mysite --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if k.path != "" {
				r, err := k.read()
				if err != nil {
					return err
				}
				defer r.Close()
				return printItems(s, asJSON, r.List())
			}
			g, err := loadGateway(path)
			if err != nil {
				return err
			}
			list := g.keysInUse()
			bad := false
			var rows [][]string
			for _, it := range list {
				bad = bad || it.Problem != ""
				rows = append(rows, []string{it.Use, it.Place, it.Fingerprint, it.Problem})
			}
			if asJSON {
				err = printJSON(s.out, list)
			} else {
				table(s.out, []string{"用途", "位置", "指纹", "问题"}, rows)
			}
			if err == nil && bad {
				err = errNo
			}
			return err
		},
	}
	k.flags(c)
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}

// keysInUse looks at every place the configuration names, in the order of the settings.
func (s *gatewaySettings) keysInUse() []placed {
	p, err := sm.New("")
	if err != nil {
		return []placed{{Use: "crypto", Problem: err.Error()}}
	}
	sec := s.places()
	defer sec.close()
	var list []placed
	eachSecret("", reflect.ValueOf(*s), func(use string, at config.Secret) {
		it := placed{Use: use, Place: string(at)}
		if kind, _ := at.Place(); kind != "file" && kind != "env" && kind != "key" && kind != "hsm" {
			it.Place = "?" // it may be the secret itself
		}
		if it.Fingerprint, err = sec.fingerprint(p, use, at); err != nil {
			it.Problem = err.Error()
		} else if !strings.Contains(use, ".peer_keys[") {
			it.Problem = sec.openToAll(at)
		}
		list = append(list, it)
	})
	return list
}

// eachSecret shows every place of a secret that settings name, with its path in the configuration.
func eachSecret(path string, v reflect.Value, see func(path string, at config.Secret)) {
	join := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	switch {
	case v.Type() == reflect.TypeFor[config.Secret]():
		if at := config.Secret(v.String()); at.Set() {
			see(path, at)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case !f.IsExported():
			case name == "": // read in a way of its own, or inlined: it stands where its owner does
				eachSecret(path, v.Field(i), see)
			default:
				eachSecret(join(name), v.Field(i), see)
			}
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			eachSecret(fmt.Sprintf("%s[%d]", path, i), v.Index(i), see)
		}
	case v.Kind() == reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, k := range keys {
			eachSecret(join(k.String()), v.MapIndex(k), see)
		}
	}
}

// fingerprint opens what is at a place, as what its use says it is.
func (s *secrets) fingerprint(p sm.Provider, use string, at config.Secret) (string, error) {
	switch {
	case use == "keys.passphrase":
		pass, err := s.passphrase(use)
		clear(pass)
		return "", err
	case use == "journal.key", strings.HasPrefix(use, "journal.old_keys["):
		w, err := s.wrapper(p, at)
		if err != nil {
			return "", err
		}
		return w.KeyID(), nil
	case strings.HasSuffix(use, ".private_key"):
		k, err := s.private(p, at)
		if err != nil {
			return "", err
		}
		return k.Public().Fingerprint(), nil
	case strings.Contains(use, ".peer_keys["):
		pubs, err := s.public(at)
		if err != nil {
			return "", err
		}
		return pubs[0].Fingerprint(), nil
	}
	_, err := s.text(at)
	return "", err
}

// openToAll says when a file with a secret can be read by others than its owner.
func (s *secrets) openToAll(at config.Secret) string {
	kind, path := at.Place()
	if kind == "key" {
		path = s.s.File
	} else if kind != "file" {
		return ""
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.base, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err.Error()
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Sprintf("权限 %o 过宽, 应为 600 / can be read by others", info.Mode().Perm())
	}
	return ""
}

// wrapper is the key-encryption key at a place: a master secret, or a key in a device.
func (s *secrets) wrapper(p sm.Provider, at config.Secret) (keys.Wrapper, error) {
	if kind, name := at.Place(); kind == "hsm" {
		k, err := s.device(p, name)
		if err != nil {
			return nil, err
		}
		return keys.NewDeviceWrapper(p, k)
	}
	text, err := s.text(at)
	if err != nil {
		return nil, err
	}
	return masterWrapper(p, text)
}

func masterWrapper(p sm.Provider, text string) (*keys.Sealer, error) {
	master, err := keys.ParseMaster(text)
	if err != nil {
		return nil, errors.New("must be 64 hex digits")
	}
	defer clear(master)
	return keys.NewSealer(p, master)
}
