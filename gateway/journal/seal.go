package journal

import (
	"fmt"
	"strconv"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// What sealed data is bound to: nothing can be moved to another place unnoticed.

func inputName(id ident.MsgID) string { return "input:" + string(id) }
func wireName(id ident.MsgID) string  { return "wire:" + string(id) }
func billName(id string) string       { return "bill:" + id }
func eventName(id ident.MsgID, n int) string {
	return "event:" + strconv.Itoa(n) + ":" + string(id)
}
func answerName(k gateway.RequestKey) string {
	return "answer:" + strconv.Itoa(len(k.System)) + ":" + k.System + ":" + k.ID
}

// seal gives nil for nothing.
func (j *Journal) seal(name string, plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return nil, nil
	}
	b, err := j.o.Sealer.Seal(j.o.Rand, name, plain)
	if err != nil {
		return nil, fmt.Errorf("journal: sealing %s: %w", name, err)
	}
	return b, nil
}

// unseal gives nil for nothing.
func (j *Journal) unseal(name string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	b, err := j.o.Sealer.Open(name, sealed)
	if err != nil {
		return nil, fmt.Errorf("journal: opening %s: %w", name, err)
	}
	return b, nil
}
