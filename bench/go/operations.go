package main

import (
	"runtime"
	"sync"
	"time"
)

func yieldAmong(gs, total int) int {
	var group sync.WaitGroup
	each := total / gs
	for i := 0; i < gs; i++ {
		group.Add(1)
		go func() {
			for n := 0; n < each; n++ {
				runtime.Gosched()
			}
			group.Done()
		}()
	}
	group.Wait()
	return each * gs
}

func spawnJoin1000() int {
	var group sync.WaitGroup
	for batch := 0; batch < 500; batch++ {
		for i := 0; i < 1000; i++ {
			group.Add(1)
			go func() { group.Done() }()
		}
		group.Wait()
	}
	return 500 * 1000
}

func chanRoundTrip() int {
	const count = 500000
	there, back := make(chan int), make(chan int)
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		for i := 0; i < count; i++ {
			back <- <-there
		}
		group.Done()
	}()
	for value := 0; value < count; value++ {
		there <- value
		<-back
	}
	group.Wait()
	return count
}

func chanBuffered() int {
	const count = 2000000
	var group sync.WaitGroup
	items := make(chan int, 128)
	group.Add(1)
	go func() {
		for value := 0; value < count; value++ {
			items <- value
		}
		group.Done()
	}()
	for i := 0; i < count; i++ {
		<-items
	}
	group.Wait()
	return count
}

var sink int

func select2(own *[8]chan int) {
	select {
	case sink = <-own[0]:
	case sink = <-own[1]:
	}
}

func select8(own *[8]chan int) {
	select {
	case sink = <-own[0]:
	case sink = <-own[1]:
	case sink = <-own[2]:
	case sink = <-own[3]:
	case sink = <-own[4]:
	case sink = <-own[5]:
	case sink = <-own[6]:
	case sink = <-own[7]:
	}
}

// Two goroutines in turn: each sends to one of the other's channels, which blocks in a select over all of them, and
// blocks in its own.
func selectAmong(width int, wait func(own *[8]chan int)) int {
	const turns = 250000
	var left, right [8]chan int
	for i := range left {
		left[i], right[i] = make(chan int), make(chan int)
	}
	var group sync.WaitGroup
	group.Add(2)
	go func() {
		for i := 0; i < turns; i++ {
			wait(&left)
			right[i%width] <- i
		}
		group.Done()
	}()
	go func() {
		for i := 0; i < turns; i++ {
			left[i%width] <- i
			wait(&right)
		}
		group.Done()
	}()
	group.Wait()
	return 2 * turns
}

func lockAmong(gs, total int) int {
	var mutex sync.Mutex
	var group sync.WaitGroup
	each := total / gs
	for i := 0; i < gs; i++ {
		group.Add(1)
		go func() {
			for n := 0; n < each; n++ {
				mutex.Lock()
				sink++
				mutex.Unlock()
			}
			group.Done()
		}()
	}
	group.Wait()
	return each * gs
}

// What mutex_random of bench.c does: who waits, for which mutex and for how long never repeats itself.
func randomNext(state *uint64) uint64 {
	*state ^= *state << 13
	*state ^= *state >> 7
	*state ^= *state << 17
	return *state
}

//go:noinline
func computeRandom(state *uint64) uint64 {
	left := randomNext(state) >> 32 & 511
	var sum uint64
	for ; left > 0; left-- {
		sum += sum>>3 ^ left
	}
	return sum
}

func mutexRandom() int {
	const gs, each = 1000, 300
	var mutexes [gs]sync.Mutex
	var group sync.WaitGroup
	for i := 0; i < gs; i++ {
		group.Add(1)
		go func(state uint64) {
			for n := 0; n < each; n++ {
				one := &mutexes[randomNext(&state)>>32%gs]
				one.Lock()
				computeRandom(&state)
				runtime.Gosched()
				one.Unlock()
				computeRandom(&state)
			}
			group.Done()
		}(uint64(i+1) * 0x9e3779b97f4a7c15)
	}
	group.Wait()
	return gs * each
}

func operations() {
	for _, workload := range []struct {
		name string
		run  func() int
	}{
		{"yield_2", func() int { return yieldAmong(2, 2000000) }},
		{"yield_1000", func() int { return yieldAmong(1000, 2000000) }},
		{"spawn_join_1000", spawnJoin1000},
		{"chan_round_trip", chanRoundTrip},
		{"chan_buffered", chanBuffered},
		{"select_2", func() int { return selectAmong(2, select2) }},
		{"select_8", func() int { return selectAmong(8, select8) }},
		{"mutex_alone", func() int { return lockAmong(1, 10000000) }},
		{"mutex_8", func() int { return lockAmong(8, 4000000) }},
		{"mutex_random", mutexRandom},
	} {
		if !isWanted(workload.name) {
			continue
		}
		workload.run()
		began := time.Now()
		operations := workload.run()
		printRow(workload.name, float64(time.Since(began).Nanoseconds())/float64(operations))
	}
}
