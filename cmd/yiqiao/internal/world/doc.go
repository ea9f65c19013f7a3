// Package world is a whole town in one process under one seed and one virtual clock: hospitals with
// their HIS systems and cashiers, one or more gateways over one journal, the network, and the
// simulated insurance centre. While the storm lasts everything goes wrong at every boundary; then
// the faults stop, time goes on until nothing moves any more, and the books are compared.
//
// Everything a world does is decided by its seed. Its goroutines take turns: one runs at a time,
// and it gives its turn away only where the outside world would make it wait (a write to the disk,
// an answer of the centre, a pause). Running a seed again therefore replays it, which the digest of
// what happened proves. The clock is moved by nothing but the events of the world, so a day of the
// town takes milliseconds.
//
// One bill in eight is a patient in hospital (stay.go); gateways stand still, are cut off and have
// clocks of their own (trouble.go); half of the towns have a broker (broker.go). A plain world is the
// town as it was before all that: seeds found then are replayed in it.
//
// In every second town settlements have electronic invoices (invoice.go): the real office, adapter and
// simulated platform, with a line between them that loses, doubles and spoils, and a platform that is away
// for an hour.
//
// What a world holds the gateway to is listed in watch.go and check.go; what can go wrong in the
// storm in line.go (network), disk.go (journal) and process.go (processes and clocks).
package world
