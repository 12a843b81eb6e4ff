package org.apache.hadoop.hive.llap.io.api;

/** Stands in for a class that the jars lack. */
public interface LlapIo<T> {}
