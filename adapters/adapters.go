// Package adapters is the one list of what the gateway can be plugged into: name -> constructor.
// Nothing registers itself; what is not listed here does not exist.
package adapters

import (
	"yiqiao/adapters/invoice/bosssoft"
	"yiqiao/adapters/invoice/unconnected"
	"yiqiao/adapters/region"
	"yiqiao/gateway"
)

// InvoicePlatforms gives the platforms of electronic invoices by name. The map is new each time.
func InvoicePlatforms() map[string]func(bosssoft.Options) (gateway.InvoicePlatform, error) {
	return map[string]func(bosssoft.Options) (gateway.InvoicePlatform, error){
		"bosssoft":    func(o bosssoft.Options) (gateway.InvoicePlatform, error) { return bosssoft.New(o) },
		"unconnected": func(bosssoft.Options) (gateway.InvoicePlatform, error) { return unconnected.Platform{}, nil },
	}
}

// Regions gives the embedded regions by name. The map is new each time.
func Regions() map[string]func() (*gateway.Region, error) {
	list := map[string]func() (*gateway.Region, error){}
	for _, name := range region.Names() {
		list[name] = func() (*gateway.Region, error) { return region.Load(name) }
	}
	return list
}
