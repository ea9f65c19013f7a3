package store

import (
	"fmt"
	"os"
	"testing"

	"yiqiao/gateway/store/storetest"
)

// fullChild makes the test program the child of TestDiskFull.
const fullChild = "YIQIAO_TEST_FULL_DISK"

// servers are the PostgreSQL servers of this test program.
var servers storetest.Servers

func TestMain(m *testing.M) {
	if path := os.Getenv(fullChild); path != "" {
		if err := fullDisk(path); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := m.Run()
	if err := servers.Stop(); err != nil {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}
