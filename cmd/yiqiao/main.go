// Command yiqiao is the whole of Yiqiao in one binary: the gateway, the simulated insurance
// centre, and the tools around them. It alone knows every package and puts them together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker: -X main.version=...
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Exit codes: 0 all well, 1 the answer is no (invalid message, refused call, damaged journal),
// 2 the command could not do its work.
const (
	exitOK   = 0
	exitNo   = 1
	exitFail = 2
)

// no is an error that means "the answer is no"; what there is to say has been printed.
var errNo = errors.New("no")

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run is the program with its surroundings passed in, so that tests run the real thing.
func run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) int {
	root := newRoot(&streams{in: in, out: out, err: errw})
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errNo):
		return exitNo
	}
	fmt.Fprintf(errw, "yiqiao: %v%s\n", err, hint(err))
	return exitFail
}

// hint says in Chinese what to do about the commonest mistakes; the error itself may be the
// system's own words.
func hint(err error) string {
	text := err.Error()
	for _, h := range []struct {
		when bool
		say  string
	}{
		{errors.Is(err, fs.ErrNotExist) && strings.Contains(text, ".yaml"), "没有找到配置文件: 用 --config 指明 yiqiao init 生成的文件夹"},
		{errors.Is(err, fs.ErrNotExist), "没有这个文件或文件夹"},
		{errors.Is(err, fs.ErrExist), "文件已存在, 不会覆盖"},
		{errors.Is(err, fs.ErrPermission), "没有读写权限"},
		{strings.Contains(text, "address already in use"), "端口已被占用: 停掉占用者, 或在配置中改 listen"},
		{strings.Contains(text, "connection refused"), "连接被拒绝: 网关是否已用 yiqiao serve 启动, 地址是否正确"},
		{strings.Contains(text, "arg(s)"), "参数个数不对: 加 --help 查看用法和示例"},
		{strings.Contains(text, "unknown command"), "没有这个命令: yiqiao --help 列出全部命令"},
		{strings.Contains(text, "unknown flag"), "没有这个选项: 加 --help 查看"},
	} {
		if h.when {
			return " (提示: " + h.say + ")"
		}
	}
	return ""
}

func newRoot(s *streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "yiqiao",
		Short: "医桥: 医院信息系统与医保平台之间的接口网关",
		Long: `医桥 (Yiqiao) 在医院信息系统 (HIS) 与国家医保信息平台之间转换、校验、签名、记账并发送交易,
并且事后总能说清每一笔钱的去向。

Yiqiao stands between a hospital information system and the national medical-insurance platform.`,
		Example: `  yiqiao demo                       从头到尾结算一张门诊单
  yiqiao init mysite                生成一套起步配置和密钥
  yiqiao serve --config mysite      启动网关
  yiqiao simulate --config mysite   启动模拟医保中心
  yiqiao describe 2207              查看交易 2207 的字段`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version,
	}
	root.PersistentPreRun = remember
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.AddCommand(
		demoCommand(s), initCommand(s), serveCommand(s), simulateCommand(s), callCommand(s),
		validateCommand(s), describeCommand(s), keysCommand(s), configCommand(s), journalCommand(s),
		versionCommand(s), doctorCommand(s), reconcileCommand(s), einvoiceCommand(s), uploadsCommand(s), reviewCommand(s), deliveriesCommand(s), tortureCommand(s), acceptCommand(s), sampleCommand(s), replayCommand(s),
	)
	root.AddCommand(mapCommand(s), schemaCommand(s))
	root.AddCommand(auditCommand(s), proofCommand(s))
	root.AddCommand(peopleCommand(s))
	return root
}
