package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

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

// keysInUse looks at every place the configuration names.
func (s *gatewaySettings) keysInUse() []placed {
	sec := s.places()
	defer sec.close()
	var list []placed
	public := false
	look := func(use string, at config.Secret, fingerprint func() (string, error)) {
		if !at.Set() {
			return
		}
		it := placed{Use: use, Place: string(at)}
		if kind, _ := at.Place(); kind != "file" && kind != "env" && kind != "key" && kind != "hsm" {
			it.Place = "?" // it may be the secret itself
		}
		fp, err := fingerprint()
		if it.Fingerprint = fp; err != nil {
			it.Problem = err.Error()
		} else if !public {
			it.Problem = sec.openToAll(at)
		}
		list = append(list, it)
	}
	secret := func(at config.Secret) func() (string, error) {
		return func() (string, error) { _, err := sec.text(at); return "", err }
	}
	p, err := sm.New("")
	if err != nil {
		return []placed{{Use: "crypto", Problem: err.Error()}}
	}
	if s.Keys.Passphrase.Set() {
		look("keys.passphrase", s.Keys.Passphrase, func() (string, error) { return "", nil })
	}
	look("journal.key", s.Journal.Key, func() (string, error) {
		w, err := sec.wrapper(p, s.Journal.Key)
		if err != nil {
			return "", err
		}
		return w.KeyID(), nil
	})
	look("journal.database_password", s.Journal.DatabasePassword, secret(s.Journal.DatabasePassword))
	look("queue.kafka.password", s.Queue.Kafka.Password, secret(s.Queue.Kafka.Password))
	var names []string
	for name := range s.Centres {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		e, in := s.Centres[name].Protect, "centres."+name+".protect."
		look(in+"private_key", e.PrivateKey, func() (string, error) {
			k, err := sec.private(p, e.PrivateKey)
			if err != nil {
				return "", err
			}
			return k.Public().Fingerprint(), nil
		})
		public = true
		for i, at := range e.PeerKeys {
			look(fmt.Sprintf("%speer_keys[%d]", in, i), at.Key, func() (string, error) {
				pubs, err := sec.public(at.Key)
				if err != nil {
					return "", err
				}
				return pubs[0].Fingerprint(), nil
			})
		}
		public = false
		look(in+"app_secret", e.AppSecret, secret(e.AppSecret))
		look(in+"token", e.Token, secret(e.Token))
		look(in+"access_key", e.AccessKey, secret(e.AccessKey))
		look(in+"secret_key", e.SecretKey, secret(e.SecretKey))
		look(in+"client_id", e.ClientID, secret(e.ClientID))
		look(in+"client_secret", e.ClientSecret, secret(e.ClientSecret))
		look(in+"password", e.Password, secret(e.Password))
	}
	return list
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
