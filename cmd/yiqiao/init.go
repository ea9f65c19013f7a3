package main

import (
	"crypto/rand"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
)

//go:embed starter/yiqiao.yaml
var starterGateway string

//go:embed starter/simulator.yaml
var starterSimulator string

// starter is what `init` fills the starter files with.
type starter struct {
	Listen, Simulator, Control string
	Einvoice                   string // address of the simulated e-invoice platform
	AppID, PaasID              string
	KeyDigest                  string // SM3 of the API key, hex
}

// starterAPIKey is where `init` leaves the API key of the first HIS system.
const starterAPIKey = "secrets/his-main.key"

func initCommand(s *streams) *cobra.Command {
	var asJSON bool
	st := starter{Listen: "127.0.0.1:8180", Simulator: "127.0.0.1:8190", Control: "127.0.0.1:8191", Einvoice: "127.0.0.1:8192"}
	c := &cobra.Command{
		Use:   "init DIR",
		Short: "生成起步配置、密钥和一个接入密钥 / Write a starter configuration, keys and an API key",
		Long: `在 DIR 中写入网关配置 yiqiao.yaml、模拟中心配置 simulator.yaml、双方的 SM2 密钥、
日志加密密钥和一个 HIS 接入密钥。已有的文件从不覆盖: 只要有一个存在, 就什么也不写。`,
		Example: "  yiqiao init mysite\n  yiqiao serve --config mysite",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := writeStarter(args[0], st)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(s.out, map[string]any{"dir": args[0], "files": files, "api_key_file": filepath.Join(args[0], starterAPIKey)})
			}
			fmt.Fprintf(s.out, "已写入 %s:\n", args[0])
			for _, f := range files {
				fmt.Fprintf(s.out, "  %s\n", f)
			}
			fmt.Fprintf(s.out, "\n接入密钥在 %s (请妥善保管)\n", filepath.Join(args[0], starterAPIKey))
			fmt.Fprintf(s.out, "下一步 / next:\n  yiqiao simulate --config %[1]s\n  yiqiao serve --config %[1]s\n", args[0])
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	c.Flags().StringVar(&st.Listen, "listen", st.Listen, "网关地址 / address of the gateway")
	c.Flags().StringVar(&st.Simulator, "simulator", st.Simulator, "模拟中心地址 / address of the simulator")
	c.Flags().StringVar(&st.Control, "control", st.Control, "模拟中心控制口 / control port of the simulator")
	c.Flags().StringVar(&st.Einvoice, "einvoice", st.Einvoice, "模拟电子票据平台地址 / address of the simulated e-invoice platform")
	return c
}

// writeStarter makes everything in memory first, refuses when any file exists, then writes.
func writeStarter(dir string, st starter) ([]string, error) {
	p, err := sm.New("emmansun")
	if err != nil {
		return nil, err
	}
	gw, err := sm.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	centre, err := sm.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	record, err := sm.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	apiKey := "yq_" + randomHex(24)
	digest := p.SM3([]byte(apiKey))
	st.KeyDigest = hex.EncodeToString(digest[:])
	st.AppID = strings.ToUpper(randomHex(16))
	st.PaasID = "demo_hosp"
	if st.Einvoice == "" {
		st.Einvoice = "127.0.0.1:0"
	}
	files := []struct{ name, text string }{
		{"secrets/journal.key", randomHex(32)},
		{"secrets/gateway-private.key", keys.FormatPrivate(gw)},
		{"secrets/simulator-private.key", keys.FormatPrivate(centre)},
		{"secrets/audit.key", keys.FormatPrivate(record)},
		{"secrets/app-secret", strings.ToUpper(randomHex(16))},
		{"secrets/einvoice-key", randomHex(13)},
		{"secrets/tif-token", strings.ToUpper(randomHex(16))},
		{starterAPIKey, apiKey},
		{"keys/gateway.pub", keys.FormatPublic(gw.Public())},
		{"keys/audit.pub", keys.FormatPublic(record.Public())},
		{"keys/simulator.pub", keys.FormatPublic(centre.Public())},
		{".gitignore", "secrets/\ndata/"},
		{"simulator.yaml", ""},
		{"yiqiao.yaml", ""},
	}
	for i, text := range map[int]string{len(files) - 2: starterSimulator, len(files) - 1: starterGateway} {
		var b strings.Builder
		t, err := template.New(files[i].name).Parse(text)
		if err != nil {
			return nil, err
		}
		if err := t.Execute(&b, st); err != nil {
			return nil, err
		}
		files[i].text = strings.TrimRight(b.String(), "\n")
	}
	for _, f := range files {
		if _, err := os.Lstat(filepath.Join(dir, f.name)); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s 已存在, 未写入任何文件 / exists already, nothing was written", filepath.Join(dir, f.name))
		}
	}
	var names []string
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		if err := keys.WriteFile(path, f.text+"\n"); err != nil {
			return nil, err
		}
		names = append(names, f.name)
	}
	return names, nil
}

// randomHex gives n random bytes as hex.
func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand ends the program when the system has no randomness
	return hex.EncodeToString(b)
}
