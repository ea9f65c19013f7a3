package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"yiqiao/schemas/strictjson"
)

func callCommand(s *streams) *cobra.Command {
	var configPath, url, keyFile, requestID, area string
	var upload, asJSON bool
	c := &cobra.Command{
		Use:   "call INFNO FILE|-",
		Short: "通过运行中的网关发一笔交易 / Send one transaction through a running gateway",
		Long: `FILE 是交易的 input 对象, 或带 request_id、operator、input 的完整请求。
成功退出码为 0, 被拒绝或结果待核实为 1。`,
		Example: `  yiqiao call 1101 examples/1101.json --config mysite
  echo '{"data":{"psn_no":"..."}}' | yiqiao call 5201 - --config mysite`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readInput(s, args[1])
			if err != nil {
				return err
			}
			doc, err := strictjson.Decode(text, strictjson.Request())
			if err != nil {
				return fmt.Errorf("%s: %w", args[1], err)
			}
			body, ok := doc.(map[string]any)
			if !ok {
				return fmt.Errorf("%s: 应为 JSON 对象 / must be a JSON object", args[1])
			}
			if _, whole := body["input"]; !whole {
				body = map[string]any{"input": doc, "operator": map[string]any{"id": "cli", "name": "命令行", "type": "1"}}
			}
			if _, has := body["request_id"]; !has {
				if requestID == "" {
					requestID = "cli-" + time.Now().Format("20060102-150405.000000000")
				}
				body["request_id"] = requestID
			}
			if area != "" {
				body["insuplc_admdvs"] = area
			}
			route := "transactions"
			if upload {
				route = "uploads"
			}
			target, key, err := gatewayAddress(configPath, url, keyFile)
			if err != nil {
				return err
			}
			done := working("等待应答")
			status, answer, err := post(cmd.Context(), target+"/api/v1/"+route+"/"+args[0], key, strictjson.Append(nil, body))
			done()
			if err != nil {
				return err
			}
			if asJSON {
				fmt.Fprintln(s.out, string(answer))
			} else {
				printAnswer(s, status, answer)
			}
			if status != http.StatusOK && status != http.StatusCreated && (status != http.StatusAccepted || !upload) {
				return errNo
			}
			return nil
		},
	}
	c.Flags().StringVar(&configPath, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().StringVar(&url, "url", "", "网关地址, 默认取自配置 / address of the gateway")
	c.Flags().StringVar(&keyFile, "key-file", "", "接入密钥文件, 默认 "+starterAPIKey+" / file of the API key")
	c.Flags().StringVar(&requestID, "request-id", "", "请求号 / request id")
	c.Flags().StringVar(&area, "insuplc-admdvs", "", "参保地医保区划 / area of insurance")
	c.Flags().BoolVar(&upload, "upload", false, "排队上传 / through the queue")
	c.Flags().BoolVar(&asJSON, "json", false, "原样输出应答 / print the answer as it is")
	return c
}

// gatewayAddress finds where the gateway listens and the API key to use.
func gatewayAddress(configPath, url, keyFile string) (target, key string, err error) {
	base := configPath
	if strings.HasSuffix(base, ".yaml") || strings.HasSuffix(base, ".yml") {
		base = filepath.Dir(base)
	}
	if url == "" {
		g, err := loadGateway(configPath)
		if err != nil {
			return "", "", err
		}
		url = "http://" + g.Listen
	}
	if keyFile == "" {
		keyFile = filepath.Join(base, starterAPIKey)
	}
	b, err := os.ReadFile(keyFile)
	if err != nil {
		return "", "", err
	}
	return strings.TrimRight(url, "/"), strings.TrimSpace(string(b)), nil
}

func post(ctx context.Context, url, key string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	// The gateway bounds its own waiting; this limit only guards against one that hangs.
	client := &http.Client{Timeout: 10 * time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxMessage))
	return resp.StatusCode, b, err
}

func printAnswer(s *streams, status int, answer []byte) {
	doc, err := strictjson.Decode(answer, strictjson.Reply())
	m, ok := doc.(map[string]any)
	if err != nil || !ok {
		fmt.Fprintf(s.out, "HTTP %d\n%s\n", status, answer)
		return
	}
	if title := strictjson.Text(m["title"]); title != "" {
		fmt.Fprintf(s.out, "HTTP %d  %s\n", status, title)
		for _, k := range []string{"code", "detail", "next", "path"} {
			if t := strictjson.Text(m[k]); t != "" {
				fmt.Fprintf(s.out, "  %-7s %s\n", k, t)
			}
		}
		if fs, ok := m["findings"].([]any); ok {
			for _, f := range fs {
				fmt.Fprintf(s.out, "  - %s %s\n", strictjson.Text(strictjson.Get(f, "path")), strictjson.Text(strictjson.Get(f, "zh")))
			}
		}
		return
	}
	fmt.Fprintf(s.out, "HTTP %d\n", status)
	if err := printJSON(s.out, doc); err != nil {
		fmt.Fprintln(s.err, err)
	}
}
