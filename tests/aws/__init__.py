"""SageMaker on loopback: a stand-in for its API, and a proxy before it that fails as asked."""
