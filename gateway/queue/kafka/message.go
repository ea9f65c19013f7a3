package kafka

import (
	"encoding/json"
	"errors"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"yiqiao/gateway"
)

// letter is what a message of ours says. It names a record and carries nothing of it.
type letter struct {
	gateway.Ref
	Due int64  `json:"due,omitempty"` // not before, milliseconds since 1970
	Why string `json:"why,omitempty"` // of a dead letter
}

// message puts a letter into a topic. Letters of one lane share a partition, and so stay in order.
func (l letter) message(topic string) (kafkago.Message, error) {
	key := l.Lane
	if key == "" {
		key = string(l.ID)
	}
	value, err := json.Marshal(l)
	return kafkago.Message{Topic: topic, Key: []byte(key), Value: value}, err
}

var errUnreadable = errors.New("kafka: not a message of this queue")

func readLetter(m kafkago.Message) (letter, error) {
	var l letter
	if err := json.Unmarshal(m.Value, &l); err != nil || l.ID == "" {
		return l, errUnreadable
	}
	return l, nil
}

func (l letter) due() time.Time {
	if l.Due == 0 {
		return time.Time{}
	}
	return time.UnixMilli(l.Due)
}

// millisUp is a time in milliseconds, not before it.
func millisUp(t time.Time) int64 {
	ms := t.UnixMilli()
	if t.After(time.UnixMilli(ms)) {
		ms++
	}
	return ms
}
