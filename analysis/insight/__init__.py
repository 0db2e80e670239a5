"""What a person wants to know: merged stacks, who waits for whom, what is wrong."""
