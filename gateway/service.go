package gateway

import "yiqiao/schemas/ident"

// Service is a centre beside the core one (mobile payment, electronic prescription): its messages are
// the data of a transaction in an envelope, without the outer message of the core interface. It is data.
type Service struct {
	Name         string                          `yaml:"name"`
	Transactions map[ident.Infno]ServiceExchange `yaml:"transactions"`
}

// ServiceExchange is one transaction of a Service.
type ServiceExchange struct {
	Path string `yaml:"path"` // behind the URL of the centre
	// Node of the input that travels, and the node of the output that the reply's data becomes; "" for
	// the whole input and output.
	Node string `yaml:"node"`
	// Echo lists members whose value in the reply must be that of the request where both have one:
	// another is the reply to another message.
	Echo []string `yaml:"echo"`
	// Status says by which member a reply tells whether the thing was done; nil: a reply is enough.
	Status *ServiceStatus `yaml:"status"`
}

// ServiceStatus are the words of a status; any other leaves the outcome unknown.
type ServiceStatus struct {
	Member  string   `yaml:"member"`
	Done    []string `yaml:"done"`
	Refused []string `yaml:"refused"`
}
