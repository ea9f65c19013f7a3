# 医桥 / Yiqiao. `make demo` and `make test` need only Go and make.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
export CGO_ENABLED ?= 0

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@latest

.PHONY: help demo build test race interop alerts torture torture-long check cross vuln bench fuzz generate clean

help: ## show the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## settle a bill end to end against the simulated centre
	@bin/yiqiao demo

build: ## build bin/yiqiao
	@mkdir -p bin
	@echo "正在编译 bin/yiqiao (首次需一两分钟) / compiling, the first time takes a minute or two" >&2
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/yiqiao ./cmd/yiqiao

test: ## run all tests
	$(GO) test -timeout 30m ./...

# Tests whose gateway is a process of its own: the detector does not reach into it, make test runs them.
PROCESSES := ^(TestKill|TestTwoGateways|TestEverythingIsKilled|TestUploadsOfTheRealProgram|TestPartialRefundOverAKill|TestStayAtTheSimulator|TestResultsAreBrought|TestBadInput|TestDoubleClicks|TestStoredAnswer|TestFullDisk)

race: ## run all tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -timeout 30m -skip '$(PROCESSES)' $$($(GO) list ./... | grep -v /internal/world)
	CGO_ENABLED=1 $(GO) test -race -short -timeout 30m ./cmd/yiqiao/internal/world

interop: ## SM2/SM3/SM4 against OpenSSL, BouncyCastle, sm-crypto and gmssl, fetched first
	@scripts/interop.sh
	CI=$${CI:-true} $(GO) test ./crypto/interop

alerts: build ## deploy/alerts.yaml and what a gateway shows, tried in a real Prometheus, fetched first
	@scripts/alerts.sh

torture: build ## whole-system simulation: 1,000 seeds, see docs/torture.md
	@bin/yiqiao torture --seeds 1000

torture-long: build ## the same with 100,000 seeds (hours)
	@bin/yiqiao torture --seeds 100000

check: ## gofmt, vet, staticcheck, go.mod tidy, generated files
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags alldb ./adapters/his/dbview
	$(GO) run $(STATICCHECK) ./...
	$(GO) mod tidy -diff

generate: ## write the generated files anew (schemas, docs)
	$(GO) generate ./...

cross: ## static builds for the platforms we promise
	@for p in linux/amd64 linux/arm64 windows/amd64; do \
	  echo "build $$p"; GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o /dev/null ./cmd/yiqiao || exit 1; done

vuln: ## look for known vulnerabilities, where the database can be reached
	@scripts/vuln.sh $(GOVULNCHECK)

bench: ## the figures of docs/figures.md, each beside what it is measured against
	@scripts/bench.sh

FUZZTIME ?= 20s
fuzz: ## run every fuzz target for FUZZTIME
	@scripts/fuzz.sh $(FUZZTIME)

clean: ## remove what was built
	rm -rf bin .cache
