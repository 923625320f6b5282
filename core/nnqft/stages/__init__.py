"""The stations of a computation, in the order of its flow: theory, times, request, diagrams, jobs."""
