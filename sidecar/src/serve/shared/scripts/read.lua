return states(1)
