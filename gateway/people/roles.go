package people

import (
	_ "embed"
	"encoding/json"
	"slices"
	"sync"

	"yiqiao/gateway"
)

//go:embed roles.json
var rolesFile []byte

// Role is one row of the table: what a role is called and what it may do.
type Role struct {
	Role string        `json:"role"`
	ZH   string        `json:"zh"`
	EN   string        `json:"en"`
	May  []gateway.Act `json:"may"`
}

// Administrator is the one role the code knows: somebody with it is always left.
const Administrator = "administrator"

var readRoles = sync.OnceValue(func() (list []Role) {
	_ = json.Unmarshal(rolesFile, &list) // TestRoles reads it too
	return list
})

// Roles gives the table.
func Roles() []Role { return slices.Clone(readRoles()) }

// RoleNames are the roles there are, in the order of the table.
func RoleNames() []string {
	var names []string
	for _, r := range readRoles() {
		names = append(names, r.Role)
	}
	return names
}

// ActsOf is what the roles together allow, in the order of gateway.Acts. An unknown role allows nothing.
func ActsOf(roles []string) []gateway.Act {
	list := []gateway.Act{}
	for _, a := range gateway.Acts() {
		if slices.ContainsFunc(readRoles(), func(r Role) bool { return slices.Contains(roles, r.Role) && slices.Contains(r.May, a) }) {
			list = append(list, a)
		}
	}
	return list
}
