package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"
)

func configCommand(s *streams) *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "检查配置 / Check the configuration", Example: "  yiqiao config check --config mysite"}
	c.AddCommand(configCheckCommand(s))
	return c
}

func configCheckCommand(s *streams) *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "检查配置、密钥和地区规则, 不启动任何服务 / Check configuration, keys and region data",
		Long:  "与启动时完全相同的检查: 未知的键、缺失的密钥、不匹配的公钥、不认识的地区都会报错。",
		Example: `  yiqiao config check --config mysite
  yiqiao config check --config mysite/simulator.yaml`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			what := "yiqiao.yaml"
			var err error
			if filepath.Base(path) == "simulator.yaml" {
				what = "simulator.yaml"
				err = checkSimulator(path)
			} else {
				err = checkGateway(path)
			}
			if asJSON {
				v := map[string]any{"file": fileIn(path, what), "valid": err == nil}
				if err != nil {
					v["error"] = err.Error()
				}
				if perr := printJSON(s.out, v); perr != nil {
					return perr
				}
				if err != nil {
					return errNo
				}
				return nil
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(s.out, "配置无误: %s\n", fileIn(path, what))
			return nil
		},
	}
	c.Flags().StringVar(&path, "config", ".", "配置文件或其文件夹 / configuration file or folder")
	c.Flags().BoolVar(&asJSON, "json", false, "以 JSON 输出 / print JSON")
	return c
}
