// Package adapters is the one list of what the gateway can be plugged into: name -> constructor.
// Nothing registers itself; what is not listed here does not exist.
package adapters

import (
	"yiqiao/adapters/region"
	"yiqiao/gateway"
)

// Regions gives the embedded regions by name. The map is new each time.
func Regions() map[string]func() (*gateway.Region, error) {
	list := map[string]func() (*gateway.Region, error){}
	for _, name := range region.Names() {
		list[name] = func() (*gateway.Region, error) { return region.Load(name) }
	}
	return list
}
