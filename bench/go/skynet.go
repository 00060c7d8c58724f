package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	leaves   = 1000000
	children = 10
)

func chanNode(parent chan int, first, leaves int) {
	if leaves == 1 {
		parent <- first
		return
	}
	sums := make(chan int)
	for i := 0; i < children; i++ {
		go chanNode(sums, first+i*(leaves/children), leaves/children)
	}
	sum := 0
	for i := 0; i < children; i++ {
		sum += <-sums
	}
	parent <- sum
}

func skynetChan() int {
	root := make(chan int)
	go chanNode(root, 0, leaves)
	return <-root
}

func joinNode(group *sync.WaitGroup, to *int, first, leaves int) {
	defer group.Done()
	if leaves == 1 {
		*to = first
		return
	}
	var below sync.WaitGroup
	var sums [children]int
	below.Add(children)
	for i := range sums {
		go joinNode(&below, &sums[i], first+i*(leaves/children), leaves/children)
	}
	below.Wait()
	sum := 0
	for _, part := range sums {
		sum += part
	}
	*to = sum
}

func skynetJoin() int {
	var group sync.WaitGroup
	var sum int
	group.Add(1)
	go joinNode(&group, &sum, 0, leaves)
	group.Wait()
	return sum
}

func skynet() {
	for _, tree := range []struct {
		name string
		run  func() int
	}{{"skynet_chan", skynetChan}, {"skynet_join", skynetJoin}} {
		if !isWanted(tree.name) {
			continue
		}
		tree.run()
		began := time.Now()
		sum := tree.run()
		printRow(tree.name, float64(time.Since(began).Nanoseconds())/1e6)
		if sum != leaves*(leaves-1)/2 {
			fmt.Fprintln(os.Stderr, "bench:", tree.name, "wrong sum", sum)
			os.Exit(1)
		}
	}
}
