package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"yiqiao/adapters/his/rest"
	"yiqiao/gateway"
	"yiqiao/gateway/audit"
)

// noted are the commands whose use is an act: those that change something, and those that show or find a
// patient. What is true must be in the record before it is done; what only looks is done although the
// record can not be written.
var noted = map[string]bool{
	"journal show": false, "journal list": false, "journal export": false, "einvoice show": false, "reconcile": false,
	"keys rewrap": true, "keys expire": true, "keys rotate": true,
	"uploads replay": true, "uploads pause": true, "uploads resume": true,
	"deliveries retry": true, "deliveries skip": true, "deliveries pause": true, "deliveries resume": true,
	"einvoice reverse": true,
	"review propose":   true, "review approve": true, "review reject": true,
}

// command is what the user runs, kept in its context for the record.
type command struct {
	act   audit.Act
	first bool // it must be in the record
	once  sync.Once
	err   error
}

type commandKey struct{}

// remember keeps what a command is about, as far as it may be written down: its path, an id among its
// arguments, and the names of its flags without their values.
func remember(cmd *cobra.Command, args []string) {
	path := strings.TrimPrefix(cmd.CommandPath(), "yiqiao ")
	first, known := noted[path]
	if !known || path == "journal list" && !cmd.Flags().Changed("person") && !cmd.Flags().Changed("visit") {
		return
	}
	a := audit.Act{Who: osUser(), What: "cli." + strings.ReplaceAll(path, " ", ".")}
	if len(args) > 0 && path != "journal export" {
		a.Ref = plainRef(args[0])
	}
	var flags []string
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if f.Name != "config" && f.Name != "json" {
			flags = append(flags, "--"+f.Name)
		}
	})
	slices.Sort(flags)
	a.Detail = strings.Join(flags, " ")
	cmd.SetContext(context.WithValue(cmd.Context(), commandKey{}, &command{act: a, first: first}))
}

// plainRef is an argument that has the form of one of our ids, a transaction number or a name of a
// configuration; "?" for anything else, which may be a patient's.
func plainRef(s string) string {
	if len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" ||
		len(s) >= 11 && strings.Trim(s, "0123456789Xx") == "" {
		return "?"
	}
	return s
}

// actOf notes the command that runs in ctx, once.
func (o opened) actOf(ctx context.Context) error {
	c, ok := ctx.Value(commandKey{}).(*command)
	if !ok {
		return nil
	}
	c.once.Do(func() {
		if err := o.audit.Note(ctx, c.act); err != nil && c.first {
			c.err = fmt.Errorf("审计记录写不进去, 未执行 / the audit record can not be written, nothing was done: %w", err)
		}
	})
	return c.err
}

// denials counts calls that were refused because of who made them, and notes them together: a record of
// each would let anybody fill it.
type denials struct {
	log   *audit.Log
	clock gateway.Clock

	mu sync.Mutex
	n  map[denial]int
}

type denial struct{ system, code string }

// denialsEvery is how often they are noted.
const denialsEvery = time.Minute

// note counts one refusal when it is about who called.
func (d *denials) note(c rest.RefusedCall) {
	if status := gateway.Codes[c.Code].Status; status != 401 && status != 403 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n == nil {
		d.n = map[denial]int{}
	}
	k := denial{c.System, string(c.Code)}
	if k.system == "" {
		k.system = "unknown"
	}
	d.n[k]++
}

// denied has the refusals of the interface counted.
func (srv *server) denied(o *rest.Options, clock gateway.Clock) {
	d := &denials{log: srv.journal.audit, clock: clock}
	note := o.Refused
	o.Refused = func(c rest.RefusedCall) {
		d.note(c)
		note(c)
	}
	srv.beside = append(srv.beside, d.run)
}

// run notes them until ctx ends, and what is left.
func (d *denials) run(ctx context.Context) error {
	for {
		err := d.clock.Sleep(ctx, denialsEvery)
		d.write()
		if err != nil {
			return nil
		}
	}
}

func (d *denials) write() {
	d.mu.Lock()
	n := d.n
	d.n = nil
	d.mu.Unlock()
	for k, count := range n {
		d.log.NoteLater(audit.Act{Who: k.system, What: "refused." + k.code, Detail: fmt.Sprintf("calls=%d", count)})
	}
}

// started and stopped note the life of a gateway.
func (srv *server) started(ctx context.Context, name string) error {
	err := srv.journal.audit.Note(ctx, audit.Act{Who: osUser(), What: "gateway.start", Ref: name, Detail: "version=" + version})
	if err != nil {
		return fmt.Errorf("审计记录写不进去 / the audit record can not be written: %w", err)
	}
	return nil
}

func (srv *server) stopped(why error) {
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	detail := "in order"
	if why != nil && !errors.Is(why, context.Canceled) {
		detail = "fault"
	}
	if err := srv.journal.audit.Note(ctx, audit.Act{Who: "yiqiao", What: "gateway.stop", Detail: detail}); err != nil {
		srv.parts.log.Warn("the end is not in the audit record", "err", err.Error())
	}
}
