// Peer of the kernel benchmark: the kernels in Go, one goroutine and one channel per actor.
//
// Compile (needs no network; standard library only), in this folder:
//
//	GOPROXY=off GOFLAGS=-mod=mod go build -o OUT/peer-go .
//
// Run:
//
//	OUT/peer-go KERNEL --threads N [--scale D] [--slots N] [--gc PERCENT]
//
// Runs the kernel once to warm up and once measured, checks both results and prints one line
// "ops=N ns=T". Exit status 1: wrong result; 2: unknown kernel or option. N becomes GOMAXPROCS;
// D divides the operations. The measured part starts when all actors but those of fjcreate and
// chameneos exist, and ends when the result has reached the main goroutine.
//
// Chosen after measuring the alternatives on 2 cores with Go 1.19 (--slots and --gc repeat it):
//   - Small struct values in the channels, no pointers: nothing is allocated per message.
//   - One channel per actor and no select: every actor has one place to wait at.
//   - pingpong and threadring: unbuffered channels, 1 to 5 % faster than 1 slot, and no slower than
//     64 or 1024; a waiting receiver gets the value directly in either case.
//   - count, fanin, fjthrput, replies of fjcreate: 1024 slots. 1, 8 and 64 slots give 4.5, 9 and
//     14 million messages/s where 256, 1024 and 8192 all give about 20 million (1 thread).
//   - big: 256 slots. An actor can have 119 pings and a pong waiting; fewer slots than that block
//     actors on each other for ever. More than 256 changes nothing.
//   - chameneos: 128 slots at the mall (8 to 8192 are equal), 1 per creature, all it can need.
//   - GOGC=400: equal to the default of 100 except for fjcreate, which gains up to a fifth; 1000
//     and more gains no further. A collection before each round, so that the warm-up's garbage is
//     not collected in the measured part; leaving it out made no kernel faster.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
)

const (
	slotsPair   = 0
	slotsStream = 1024
	slotsBig    = 256
	slotsMall   = 128
	gcPercent   = 400
)

// The size of one run: operations of the whole kernel and slots of every channel.
type size struct {
	ops   int
	slots int
}

// A run reports the time of its measured part and whether its result was right.
// ops is rounded to a multiple of unit.
type kernel struct {
	name  string
	ops   int
	unit  int
	slots int
	run   func(size) (time.Duration, bool)
}

var kernels = []kernel{
	{"pingpong", 1000000, 1, slotsPair, pingpong},
	{"count", 1000000, 1, slotsStream, streamFrom(1)},
	{"fanin8", 1000000, 1, slotsStream, streamFrom(8)},
	{"fanin64", 1000000, 1, slotsStream, streamFrom(64)},
	{"fanin1000", 1000000, 1, slotsStream, streamFrom(1000)},
	{"fjthrput", 600000, fanActors, slotsStream, forkThroughput},
	{"fjcreate", 1000000, 1, slotsStream, forkCreateIn(1000000)},
	{"fjcreate-waves", 1000000, 1, slotsStream, forkCreateIn(1000)},
	{"threadring100", 1000000, 1, slotsPair, threadRingOf(100)},
	{"threadring503", 1000000, 1, slotsPair, threadRingOf(503)},
	{"big", 2400000, bigActors, slotsBig, big},
	{"chameneos", 200000, 1, slotsMall, chameneos},
}

// Numbers from the command line. slots < 0 stands for the value of the kernel.
type options struct {
	threads int
	scale   int
	slots   int
	gc      int
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: peer KERNEL --threads N [--scale D] [--slots N] [--gc PERCENT]")
	os.Exit(2)
}

func readOptions(args []string) options {
	o := options{threads: 1, scale: 1, slots: -1, gc: gcPercent}
	targets := map[string]*int{
		"--threads": &o.threads, "--scale": &o.scale, "--slots": &o.slots, "--gc": &o.gc,
	}
	for len(args) > 0 {
		target := targets[args[0]]
		if target == nil || len(args) < 2 {
			usage()
		}
		value, err := strconv.Atoi(args[1])
		if err != nil || value < 0 || (value == 0 && args[0] != "--slots") {
			usage()
		}
		*target = value
		args = args[2:]
	}
	return o
}

func findKernel(name string) kernel {
	for _, k := range kernels {
		if k.name == name {
			return k
		}
	}
	usage()
	return kernel{}
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	k := findKernel(os.Args[1])
	o := readOptions(os.Args[2:])
	runtime.GOMAXPROCS(o.threads)
	debug.SetGCPercent(o.gc)
	s := size{ops: k.ops / o.scale / k.unit * k.unit, slots: k.slots}
	if s.ops < k.unit {
		s.ops = k.unit
	}
	if o.slots >= 0 {
		s.slots = o.slots
	}
	var elapsed time.Duration
	for round := 0; round < 2; round++ {
		runtime.GC()
		var ok bool
		elapsed, ok = k.run(s)
		if !ok {
			fmt.Fprintln(os.Stderr, k.name, "has a wrong result")
			os.Exit(1)
		}
	}
	fmt.Printf("ops=%d ns=%d\n", s.ops, elapsed.Nanoseconds())
}
