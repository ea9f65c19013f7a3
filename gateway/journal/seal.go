package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"yiqiao/gateway"
	"yiqiao/gateway/vault"
	"yiqiao/schemas/ident"
)

// What sealed data is bound to: nothing can be moved to another place unnoticed.

func inputName(id ident.MsgID) string { return "input:" + string(id) }
func wireName(id ident.MsgID) string  { return "wire:" + string(id) }
func billName(id string) string       { return "bill:" + id }
func eventName(id ident.MsgID, n int) string {
	return "event:" + strconv.Itoa(n) + ":" + string(id)
}
func evidenceName(id ident.MsgID, n int) string {
	return "evidence:" + strconv.Itoa(n) + ":" + string(id)
}
func answerName(k gateway.RequestKey) string {
	return "answer:" + strconv.Itoa(len(k.System)) + ":" + k.System + ":" + k.ID
}

// seal gives nil for nothing.
func (j *Journal) seal(ctx context.Context, of vault.Scope, name string, plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return nil, nil
	}
	b, err := j.o.Sealer.Seal(ctx, of, name, plain)
	if err != nil {
		return nil, fmt.Errorf("journal: sealing %s: %w", name, err)
	}
	return b, nil
}

// unseal gives nil for nothing.
func (j *Journal) unseal(ctx context.Context, name string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	b, err := j.o.Sealer.Open(ctx, name, sealed)
	if err != nil {
		return nil, fmt.Errorf("journal: opening %s: %w", name, err)
	}
	return b, nil
}

// opens is unseal for who only wants to know whether it can be opened; what was destroyed in its
// time is in order.
func (j *Journal) opens(ctx context.Context, name string, sealed []byte) error {
	_, err := j.unseal(ctx, name, sealed)
	if errors.Is(err, gateway.ErrExpired) {
		return nil
	}
	return err
}

// marking is the digests of an entry's marks and the number of the key they go with.
type marking struct {
	digests [][]byte
	key     int64
}

// marks digests numbers. Empty ones and doubles are left out.
func (j *Journal) marks(ctx context.Context, of vault.Scope, list []gateway.Mark) (m marking, err error) {
	if len(list) == 0 {
		return m, nil
	}
	for _, mark := range list {
		number := markNumber(mark.Number)
		if number == "" {
			continue
		}
		digest := j.o.Sealer.Mark(of.Institution, string(mark.Kind), number)
		if digest != nil && !slices.ContainsFunc(m.digests, func(d []byte) bool { return bytes.Equal(d, digest) }) {
			m.digests = append(m.digests, digest)
		}
	}
	m.key, err = j.o.Sealer.Key(ctx, of)
	return m, err
}

// markNumber is a number as it is digested.
func markNumber(s string) string { return strings.ToUpper(strings.TrimSpace(s)) }
