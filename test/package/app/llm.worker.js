import "ziggurat-llm/worker";
