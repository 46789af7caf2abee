package main

import "time"

// One message of the streaming kernels: a small value, copied into the channel.
type number struct {
	value int64
}

// Two actors, one message on its way: a round trip is an operation.
func pingpong(s size) (time.Duration, bool) {
	ping := make(chan number, s.slots)
	pong := make(chan number, s.slots)
	start := make(chan bool)
	done := make(chan int64, 1)
	go func() {
		for m := range ping {
			pong <- number{m.value + 1}
		}
	}()
	go func() {
		<-start
		value := int64(0)
		for i := 0; i < s.ops; i++ {
			ping <- number{value + 1}
			value = (<-pong).value
		}
		close(ping)
		done <- value
	}()
	began := time.Now()
	close(start)
	value := <-done
	return time.Since(began), value == 2*int64(s.ops)
}

func streamFrom(senders int) func(size) (time.Duration, bool) {
	return func(s size) (time.Duration, bool) { return stream(s, senders) }
}

// count with one sender, fanin with several: a message is an operation.
func stream(s size, senders int) (time.Duration, bool) {
	counter := make(chan number, s.slots)
	start := make(chan bool)
	done := make(chan int64, 1)
	go func() {
		sum := int64(0)
		for i := 0; i < s.ops; i++ {
			sum += (<-counter).value
		}
		done <- sum
	}()
	for i := 0; i < senders; i++ {
		first, end := s.ops*i/senders, s.ops*(i+1)/senders
		go func() {
			<-start
			for v := first; v < end; v++ {
				counter <- number{int64(v)}
			}
		}()
	}
	began := time.Now()
	close(start)
	sum := <-done
	return time.Since(began), sum == int64(s.ops)*int64(s.ops-1)/2
}

const fanActors = 60

// A driver sends to 60 actors in turn; a message is an operation. Each receiver adds up and, once
// its channel is closed, reports its sum.
func forkThroughput(s size) (time.Duration, bool) {
	rounds := s.ops / fanActors
	start := make(chan bool)
	sums := make(chan int64, fanActors)
	actors := make([]chan number, fanActors)
	for i := range actors {
		in := make(chan number, s.slots)
		actors[i] = in
		go func() {
			sum := int64(0)
			for m := range in {
				sum += m.value
			}
			sums <- sum
		}()
	}
	go func() {
		<-start
		for r := 0; r < rounds; r++ {
			for _, in := range actors {
				in <- number{int64(r)}
			}
		}
		for _, in := range actors {
			close(in)
		}
	}()
	began := time.Now()
	close(start)
	ok := true
	want := int64(rounds) * int64(rounds-1) / 2
	for range actors {
		ok = (<-sums == want) && ok
	}
	return time.Since(began), ok
}

// One actor of forkCreate: one message in, one to the parent, the end.
func child(in chan number, parent chan number) {
	m := <-in
	parent <- number{m.value + 1}
}

func forkCreateIn(wave int) func(size) (time.Duration, bool) {
	return func(s size) (time.Duration, bool) { return forkCreate(s, wave) }
}

// Actors made in waves; an actor from its creation to its end is an operation.
func forkCreate(s size, wave int) (time.Duration, bool) {
	parent := make(chan number, s.slots)
	done := make(chan int64, 1)
	began := time.Now()
	go func() {
		sum := int64(0)
		for made := 0; made < s.ops; {
			end := made + wave
			if end > s.ops {
				end = s.ops
			}
			for v := made; v < end; v++ {
				in := make(chan number, 1)
				go child(in, parent)
				in <- number{int64(v)}
			}
			for ; made < end; made++ {
				sum += (<-parent).value
			}
		}
		done <- sum
	}()
	sum := <-done
	return time.Since(began), sum == int64(s.ops)*int64(s.ops+1)/2
}
