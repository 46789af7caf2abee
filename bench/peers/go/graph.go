package main

import "time"

func threadRingOf(actors int) func(size) (time.Duration, bool) {
	return func(s size) (time.Duration, bool) { return threadRing(s, actors) }
}

// A token goes round a ring; a hop is an operation.
func threadRing(s size, actors int) (time.Duration, bool) {
	ring := make([]chan number, actors)
	for i := range ring {
		ring[i] = make(chan number, s.slots)
	}
	done := make(chan int, 1)
	for i := range ring {
		self, in, out := i, ring[i], ring[(i+1)%actors]
		go func() {
			for m := range in {
				if m.value == 0 {
					done <- self
					return
				}
				out <- number{m.value - 1}
			}
		}()
	}
	began := time.Now()
	ring[0] <- number{int64(s.ops)}
	last := <-done
	elapsed := time.Since(began)
	for _, in := range ring {
		close(in)
	}
	return elapsed, last == s.ops%actors
}

const bigActors = 120

// from < 0: a pong.
type bigMessage struct {
	from int32
}

func xorshift(state uint32) uint32 {
	state ^= state << 13
	state ^= state >> 17
	state ^= state << 5
	return state
}

// One actor of big: pings another, answers everybody, until its channel is closed.
func bigActor(
	self int,
	actors []chan bigMessage,
	pings int,
	finished chan bool,
	answered chan int,
) {
	in := actors[self]
	state := uint32(self+1) * 2654435761
	answers, received := 0, 0
	next := func() {
		state = xorshift(state)
		other := int(state % uint32(len(actors)-1))
		if other >= self {
			other++
		}
		actors[other] <- bigMessage{int32(self)}
	}
	for m := range in {
		switch {
		case m.from == int32(self): // the start
			next()
		case m.from >= 0:
			answers++
			actors[m.from] <- bigMessage{-1}
		default:
			received++
			if received == pings {
				finished <- true
			} else {
				next()
			}
		}
	}
	answered <- answers
}

// All to all, one ping outstanding per actor; a ping with its pong is an operation.
func big(s size) (time.Duration, bool) {
	pings := s.ops / bigActors
	finished := make(chan bool, bigActors)
	answered := make(chan int, bigActors)
	actors := make([]chan bigMessage, bigActors)
	for i := range actors {
		actors[i] = make(chan bigMessage, s.slots)
	}
	for i := range actors {
		go bigActor(i, actors, pings, finished, answered)
	}
	began := time.Now()
	for i, in := range actors {
		in <- bigMessage{int32(i)}
	}
	for range actors {
		<-finished
	}
	elapsed := time.Since(began)
	sum := 0
	for _, in := range actors {
		close(in)
	}
	for range actors {
		sum += <-answered
	}
	return elapsed, sum == pings*bigActors
}

const creatures = 100

// To the mall: who wants to meet, in which colour. To a creature: whom it meets, in which colour;
// isReply: the partner knows already. who < 0: the mall is closed.
type meeting struct {
	who     int32
	colour  int8
	isReply bool
}

// Two of a colour keep it, two of different colours take the third.
func complement(a, b int8) int8 {
	if a == b {
		return a
	}
	return 3 - a - b
}

func creature(self int, all []chan meeting, mall chan meeting, meetings chan int) {
	in := all[self]
	colour := int8(self % 3)
	count := 0
	for {
		mall <- meeting{who: int32(self), colour: colour}
		m := <-in
		if m.who < 0 {
			break
		}
		count++
		if m.isReply {
			colour = m.colour
		} else {
			colour = complement(colour, m.colour)
			all[m.who] <- meeting{who: int32(self), colour: colour, isReply: true}
		}
	}
	meetings <- count
}

// 100 creatures meet in one mall; a meeting is an operation. The mall hands the second of two to
// the first, who tells the second the colour they take.
func chameneos(s size) (time.Duration, bool) {
	mall := make(chan meeting, s.slots)
	meetings := make(chan int, creatures)
	all := make([]chan meeting, creatures)
	for i := range all {
		all[i] = make(chan meeting, 1)
	}
	go func() {
		for n := 0; n < s.ops; n++ {
			first := <-mall
			all[first.who] <- <-mall
		}
		for range all {
			all[(<-mall).who] <- meeting{who: -1}
		}
	}()
	began := time.Now()
	for i := range all {
		go creature(i, all, mall, meetings)
	}
	sum := 0
	for range all {
		sum += <-meetings
	}
	return time.Since(began), sum == 2*s.ops
}
