package flow

import (
	"encoding/json"
	"sync"
	"time"

	"yiqiao/gateway"
)

// credentials holds patients' credentials in memory, by bill, for as long as a settlement may need
// them. They are overwritten when they leave. The zero value is ready.
type credentials struct {
	mu sync.Mutex
	m  map[string]heldCredential
}

type heldCredential struct {
	text  []byte
	until time.Time
}

func (c *credentials) put(bill string, cred gateway.Credential, until time.Time) {
	b, err := json.Marshal(cred)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string]heldCredential{}
	}
	clear(c.m[bill].text)
	c.m[bill] = heldCredential{b, until}
}

func (c *credentials) get(bill string, now time.Time) (gateway.Credential, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var cred gateway.Credential
	h, ok := c.m[bill]
	if !ok {
		return cred, false
	}
	if !now.Before(h.until) {
		c.drop(bill)
		return cred, false
	}
	return cred, json.Unmarshal(h.text, &cred) == nil
}

func (c *credentials) forget(bill string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(bill)
}

func (c *credentials) sweep(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for bill, h := range c.m {
		if !now.Before(h.until) {
			c.drop(bill)
		}
	}
}

func (c *credentials) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for bill := range c.m {
		c.drop(bill)
	}
}

func (c *credentials) drop(bill string) {
	clear(c.m[bill].text)
	delete(c.m, bill)
}
